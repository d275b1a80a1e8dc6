# Tests. tests/unit/MODULE/NAME_test.c becomes $(B)/test/unit/MODULE/NAME_test, linked with MODULE
# and what it stands on. Pipeline tests are programs too; they start the installed binaries.

UNIT_TESTS = $(patsubst tests/%.c,$(B)/test/%,$(wildcard tests/unit/*/*_test.c))
PIPELINE_TESTS = $(patsubst tests/%.c,$(B)/test/%,$(wildcard tests/pipeline/*_test.c))

.PHONY: test test-unit test-pipeline
test: deps-check ## build and pass all tests
	@$(MAKE) --no-print-directory all test-programs
	@TEST_DATA=$(TEST_DATA) B=$(B) tests/run $(UNIT_TESTS) $(PIPELINE_TESTS)

test-unit: $(UNIT_TESTS) ## unit tests only
	@TEST_DATA=$(TEST_DATA) B=$(B) tests/run $(UNIT_TESTS)

test-pipeline: all $(PIPELINE_TESTS) ## tests of the real daemons only
	@TEST_DATA=$(TEST_DATA) B=$(B) tests/run $(PIPELINE_TESTS)

.PHONY: test-programs
test-programs: $(UNIT_TESTS) $(PIPELINE_TESTS)

# One test by name: make test-one T=unit/base/queue_test
.PHONY: test-one
test-one: $(B)/test/$(T)
	@TEST_DATA=$(TEST_DATA) B=$(B) $<

define unit_rule
$(B)/test/unit/$(1)/%: $(B)/obj/tests/unit/$(1)/%.o $(call archives,$(1))
	@mkdir -p $$(@D)
	@$$(CC) $$(LDFLAGS) -o $$@ $$^ $$(LDLIBS) -lcmocka
endef
$(foreach m,$(MODULES),$(eval $(call unit_rule,$(m))))

$(B)/obj/tests/unit/edge-agent/%.o: CPPFLAGS += -Iedge-agent
$(B)/obj/tests/unit/cloud-server/%.o: CPPFLAGS += -Icloud-server
$(B)/obj/tests/pipeline/%.o: CPPFLAGS += -Itests/pipeline

# Pipeline tests share one harness (start, wait, stop processes by id).
$(B)/test/pipeline/%: $(B)/obj/tests/pipeline/%.o $(B)/obj/tests/pipeline/harness.o \
		$(B)/lib/net.a $(B)/lib/media.a $(B)/lib/config.a $(B)/lib/base.a
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -ljson-c -lcmocka

.PRECIOUS: $(B)/obj/tests/%.o
