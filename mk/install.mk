# make install: programs, the default model, sample configurations and one systemd unit per daemon.

DESTDIR ?=
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR ?= /etc/systemd/system

.PHONY: install uninstall
install: ## install to $(DESTDIR)$(PREFIX); configurations that exist are kept
	@$(MAKE) --no-print-directory all
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/share/runespoor/models/street_det" \
		"$(DESTDIR)$(SYSCONFDIR)/runespoor" "$(DESTDIR)$(UNITDIR)"
	install -m 755 $(B)/bin/edge-agent $(B)/bin/cloud-server "$(DESTDIR)$(PREFIX)/bin/"
	install -m 644 models/street_det/* "$(DESTDIR)$(PREFIX)/share/runespoor/models/street_det/"
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
	rm -rf "$(DESTDIR)$(PREFIX)/share/runespoor"
