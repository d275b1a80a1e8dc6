# Documentation that is written by the programs themselves.

.PHONY: docs
docs: $(B)/bin/edge-agent $(B)/bin/cloud-server ## write docs/configure.md from the option tables
	@B=$(B) mk/docs.sh >$(B)/configure.md.new
	@mv $(B)/configure.md.new $(B)/configure.md
	@cmp -s $(B)/configure.md docs/configure.md || cp $(B)/configure.md docs/configure.md
