# ONNX's own test cases (tests/conformance). CASES are folders of cases, or cases.

CASES ?= $(addprefix /usr/share/libonnx-testdata/data/,node pytorch-converted pytorch-operator simple)

$(B)/test/conformance: $(patsubst %.c,$(B)/obj/%.o,$(filter-out %_test.c,$(wildcard tests/conformance/*.c))) $(call archives,kernels)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -ljson-c

$(B)/test/conformance_test: $(B)/obj/tests/conformance/conformance_test.o | $(B)/test/conformance
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

.PHONY: conformance
conformance: deps-test ## ONNX's test cases; CASES=FOLDER... (those of Debian's libonnx-testdata)
	@$(MAKE) --no-print-directory $(B)/test/conformance
	@echo "conformance: cases that did not pass: $(B)/conformance.txt"
	@$(B)/test/conformance -o -r $(B)/conformance.txt $(CASES)

# Newer cases are in ONNX's wheel, which is unpacked for its data alone. One for all build folders.
ONNX_WHEEL_VERSION = 1.16.0
ONNX_CASES = build/onnx-$(ONNX_WHEEL_VERSION)

$(ONNX_CASES)/ready:
	@echo "conformance: fetching ONNX $(ONNX_WHEEL_VERSION) into $(ONNX_CASES) (once)"
	@python3 -m venv build/onnx-venv && \
		build/onnx-venv/bin/pip install --quiet --disable-pip-version-check --no-deps \
			--target $(ONNX_CASES) onnx==$(ONNX_WHEEL_VERSION) || \
		{ echo "conformance: failed; it needs Python's onnx $(ONNX_WHEEL_VERSION) in $(ONNX_CASES)" >&2; exit 1; }
	@touch $@

.PHONY: conformance-onnx
conformance-onnx: deps-build ## the test cases of ONNX 1.16, from PyPI
	@mk/deps.sh python3-venv
	@$(MAKE) --no-print-directory $(B)/test/conformance $(ONNX_CASES)/ready
	@echo "conformance: cases that did not pass: $(B)/conformance-onnx.txt"
	@$(B)/test/conformance -o -r $(B)/conformance-onnx.txt \
		$(addprefix $(ONNX_CASES)/onnx/backend/test/data/,node pytorch-converted pytorch-operator simple)
