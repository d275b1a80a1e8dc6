# Static checks: clang-tidy over all our C, shellcheck over scripts, and the rules of the house.

.PHONY: lint
lint: ## clang-tidy, shellcheck, folder rules
	@mk/deps.sh $(PACKAGES_BUILD) $(PACKAGES_TEST) $(PACKAGES_LINT)
	@$(MAKE) --no-print-directory $(PROTO_C)
	@B=$(B) LINT_FLAGS='$(CPPFLAGS)' mk/lint.sh
