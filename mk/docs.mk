# Documentation that is written by the programs themselves.

.PHONY: docs
docs: ## write docs/configure.md from the option tables
	@$(MAKE) --no-print-directory all
	@B=$(B) mk/docs.sh >$(B)/configure.md
	@cmp -s $(B)/configure.md docs/configure.md || cp $(B)/configure.md docs/configure.md
