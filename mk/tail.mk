# Whether the live tail is right, and what its probes cost.

$(B)/test/bench/tail_bench: $(patsubst tests/%.c,$(B)/obj/tests/%.o,$(wildcard tests/bench/tail_*.c)) \
		$(B)/lib/edge-agent.a $(call archives,cloud-server)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: bench-tail
bench-tail: deps-test ## what probes say of a stream's tail beside all its frames, and what they cost
	@$(MAKE) --no-print-directory $(B)/test/bench/tail_bench
	@mk/sample-video.sh
	@B=$(B) TEST_DATA=$(TEST_DATA) tests/bench/tail.sh
