# make install: programs, the back end for GPUs if it was built, the default model, sample configurations
# and one systemd unit per daemon.

DESTDIR ?=
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR ?= /etc/systemd/system

# All that its folder holds: card, network, sample, and networks that restore for it.
MODEL_FILES = $(shell find models/street_det -type f)

.PHONY: install uninstall
install: ## install to $(DESTDIR)$(PREFIX); configurations that exist are kept
	@$(MAKE) --no-print-directory all
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/share/runespoor" \
		"$(DESTDIR)$(SYSCONFDIR)/runespoor" "$(DESTDIR)$(UNITDIR)"
	install -m 755 $(B)/bin/edge-agent $(B)/bin/cloud-server "$(DESTDIR)$(PREFIX)/bin/"
	@[ ! -e $(CUDA_SO) ] || { echo "install $(CUDA_SO)"; \
		install -D -m 755 $(CUDA_SO) "$(DESTDIR)$(PREFIX)/lib/runespoor/$(notdir $(CUDA_SO))"; }
	@for file in $(MODEL_FILES); do \
		echo "install $$file"; \
		install -D -m 644 "$$file" "$(DESTDIR)$(PREFIX)/share/runespoor/$$file" || exit 1; \
	done
	@for daemon in edge-agent cloud-server; do \
		config="$(DESTDIR)$(SYSCONFDIR)/runespoor/$$daemon.yaml"; \
		if [ -e "$$config" ]; then echo "kept $$config"; \
		else echo "install $$config"; sed 's|models/street_det|$(PREFIX)/share/runespoor/&|' \
			deploy/$$daemon.yaml > "$$config"; fi; \
		sed 's|@BINDIR@|$(PREFIX)/bin|; s|@SYSCONFDIR@|$(SYSCONFDIR)|' deploy/$$daemon.service.in \
			> "$(DESTDIR)$(UNITDIR)/runespoor-$$daemon.service"; \
	done
	@echo "install: prefix=$(DESTDIR)$(PREFIX)"

uninstall: ## remove what install put there, configurations excepted
	rm -f "$(DESTDIR)$(PREFIX)/bin/edge-agent" "$(DESTDIR)$(PREFIX)/bin/cloud-server" \
		"$(DESTDIR)$(UNITDIR)/runespoor-edge-agent.service" \
		"$(DESTDIR)$(UNITDIR)/runespoor-cloud-server.service"
	rm -rf "$(DESTDIR)$(PREFIX)/share/runespoor" "$(DESTDIR)$(PREFIX)/lib/runespoor"
