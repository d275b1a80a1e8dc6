# Static checks: clang-tidy over all our C, shellcheck over scripts, and the rules of the house.

.PHONY: lint
LINT_C = $(wildcard common/*/*.c kernels/*.c kernels/*/*.c edge-agent/*.c cloud-server/*.c cloud-server/*/*.c)

lint: ## clang-tidy, shellcheck, folder rules
	@mk/deps.sh $(PACKAGES_BUILD) $(PACKAGES_TEST) $(PACKAGES_LINT)
	@$(MAKE) --no-print-directory $(PROTO_C)
	@mk/includes.sh
	@shellcheck mk/*.sh tests/run .ci/run
	@printf '%s\n' $(LINT_C) | xargs -P 2 -n 4 clang-tidy --quiet --warnings-as-errors='*' \
		2>$(B)/lint.log -- || { cat $(B)/lint.log; exit 1; }
	@echo "lint: files=$(words $(LINT_C)) findings=0"
