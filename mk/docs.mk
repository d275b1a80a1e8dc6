# Documentation that is written by the programs themselves.

.PHONY: docs
docs: all ## write docs/configure.md from the option tables
	@B=$(B) mk/docs.sh >$(B)/configure.md
	@cmp -s $(B)/configure.md docs/configure.md || cp $(B)/configure.md docs/configure.md
