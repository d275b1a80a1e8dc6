# The whole test suite under a sanitizer, each in a build folder of its own; and fuzzing.

.PHONY: asan ubsan tsan fuzz
asan: deps-test ## all tests under AddressSanitizer with leak check (suppressions: tests/lsan.supp)
	+@$(call sanitized,asan,-fsanitize=address)
ubsan: deps-test ## all tests under UndefinedBehaviorSanitizer
	+@$(call sanitized,ubsan,-fsanitize=undefined -fno-sanitize-recover=undefined)
tsan: deps-test ## all tests under ThreadSanitizer (suppressions: tests/tsan.supp)
	+@$(call sanitized,tsan,-fsanitize=thread)

# What a sanitizer finds in any process, workers included, goes to files of its own, which tests/run
# counts and shows: a daemon may survive what happens in its worker. The + lets make -j reach the make
# in here, which make itself cannot see through the call. ThreadSanitizer goes through a list of
# all addresses with races, suppressed ones too, at each race that it sees, unless it is told not to: that
# takes conv_gradient_test many times as long.
sanitized = rm -f $(B)/$(1)/findings.*; \
	ASAN_OPTIONS=detect_leaks=1:log_path=$(abspath $(B)/$(1)/findings) \
	LSAN_OPTIONS=suppressions=$(CURDIR)/tests/lsan.supp:print_suppressions=0 \
	UBSAN_OPTIONS=print_stacktrace=1:log_path=$(abspath $(B)/$(1)/findings) \
	TSAN_OPTIONS=suppressions=$(CURDIR)/tests/tsan.supp:history_size=4:suppress_equal_addresses=0:log_path=$(abspath $(B)/$(1)/findings) \
	TEST_FINDINGS=$(abspath $(B)/$(1)/findings) TEST_SECONDS=900 TEST_SLOWER=5 \
	$(MAKE) --no-print-directory test B=$(B)/$(1) SANITIZE="$(2)"

# FUZZ_SECONDS for each target; findings are left in $(B)/fuzz/NAME.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS = $(patsubst tests/fuzz/%_fuzz.c,%,$(wildcard tests/fuzz/*_fuzz.c))

fuzz: ## search for crashes in every parser, FUZZ_SECONDS (60) each
	@mk/deps.sh $(PACKAGES_BUILD) $(PACKAGES_FUZZ)
	@for target in $(FUZZ_TARGETS); do \
		$(MAKE) --no-print-directory B=$(B)/fuzz CC=clang \
			SANITIZE="-fsanitize=fuzzer-no-link,address,undefined" \
			$(B)/fuzz/fuzz/$$target && \
		mkdir -p $(B)/fuzz/$$target && \
		(cd $(B)/fuzz/$$target && mkdir -p found && \
			../fuzz/$$target -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=4096 -timeout=10 \
			-print_final_stats=1 found $(CURDIR)/tests/fuzz/corpus/$$target \
			>log 2>&1) || { tail -40 $(B)/fuzz/$$target/log; echo "fuzz: $$target failed"; exit 1; }; \
		echo "$$target: $$(grep -o 'stat::number_of_executed_units: *[0-9]*' $(B)/fuzz/$$target/log)"; \
	done; echo "fuzz: targets=$(words $(FUZZ_TARGETS)) seconds=$(FUZZ_SECONDS) crashes=0"

define fuzzer_rule
$(B)/fuzz/$(1): $(B)/obj/tests/fuzz/$(1)_fuzz.o $(call archives,$(fuzz_MODULE_$(1)))
	@mkdir -p $$(@D)
	@$$(CC) $$(LDFLAGS) -fsanitize=fuzzer -o $$@ $$^ $$(LDLIBS)
endef
$(foreach f,config wire onnx npy labels arm probe decode,$(eval $(call fuzzer_rule,$(f))))
