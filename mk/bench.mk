# Benches: each runs us and a peer in turn and ends within 20 minutes from a built tree.

PACKAGES_BENCH = ffmpeg

$(B)/obj/tests/bench/%.o: CPPFLAGS += -Itests/pipeline -Icloud-server

$(B)/test/bench/pipeline_bench: $(B)/obj/tests/bench/pipeline_bench.o \
		$(B)/obj/tests/pipeline/harness.o $(call archives,media) $(call archives,net)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -ljson-c -lcmocka

.PHONY: bench-pipeline
bench-pipeline: deps-test ## CPU time, added latency and memory of both daemons, beside ffmpeg
	@mk/deps.sh $(PACKAGES_BENCH)
	@$(MAKE) --no-print-directory all $(B)/test/bench/pipeline_bench
	@mk/sample-video.sh
	@B=$(B) $(B)/test/bench/pipeline_bench $(B)/demo/vtest.avi veryfast
