# ONNX's own test cases (tests/conformance). CASES are folders of cases, or cases.

PACKAGES_CONFORMANCE = libonnx-testdata
CASES ?= $(addprefix /usr/share/libonnx-testdata/data/,node pytorch-converted pytorch-operator simple)

$(B)/test/conformance: $(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/conformance/*.c)) $(call archives,kernels)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -ljson-c

.PHONY: conformance
conformance: deps-build ## ONNX's test cases; CASES=FOLDER... (those of Debian's libonnx-testdata)
	@mk/deps.sh $(PACKAGES_CONFORMANCE)
	@$(MAKE) --no-print-directory $(B)/test/conformance
	@$(B)/test/conformance -o -r $(B)/conformance.txt $(CASES)
