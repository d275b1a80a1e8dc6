# Benches: each runs us and a peer in turn and ends within 20 minutes from a built tree.

PACKAGES_BENCH = ffmpeg

$(B)/obj/tests/bench/%.o: CPPFLAGS += -Itests/pipeline -Icloud-server

$(B)/test/bench/pipeline_bench: $(B)/obj/tests/bench/pipeline_bench.o \
		$(B)/obj/tests/pipeline/harness.o $(call archives,cloud-server)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -ljson-c -lcmocka

.PHONY: bench-pipeline
bench-pipeline: deps-test ## CPU time, added latency and memory of both daemons, beside ffmpeg
	@mk/deps.sh $(PACKAGES_BENCH)
	@$(MAKE) --no-print-directory all $(B)/test/bench/pipeline_bench
	@mk/sample-video.sh
	@B=$(B) $(B)/test/bench/pipeline_bench $(B)/demo/vtest.avi veryfast

$(B)/test/bench/pool_bench: $(B)/obj/tests/bench/pool_bench.o $(B)/obj/tests/pipeline/harness.o \
		$(B)/obj/tests/pipeline/client.o $(call archives,cloud-server)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -ljson-c -lcmocka

.PHONY: bench-pool
bench-pool: deps-test ## workers of unequal speed, one stopped and one killed, through the real server
	@$(MAKE) --no-print-directory all $(B)/test/bench/pool_bench
	@B=$(B) $(B)/test/bench/pool_bench

$(B)/test/bench/batch_bench: $(B)/obj/tests/bench/batch_bench.o $(call archives,cloud-server)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: bench-batch
bench-batch: ## pictures a second and their age with batches of up to 1, 2, 4 and 8, on the processors
	@$(MAKE) --no-print-directory $(B)/test/bench/batch_bench
	@$(B)/test/bench/batch_bench models/street_det

$(B)/test/bench/probe_link: $(B)/obj/tests/bench/probe_link.o $(B)/obj/tests/pipeline/probe_link.o \
		$(B)/obj/tests/pipeline/probe_line.o $(B)/obj/tests/pipeline/harness.o \
		$(B)/lib/net.a $(B)/lib/media.a $(B)/lib/config.a $(B)/lib/base.a
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -ljson-c -lcmocka

.PHONY: bench-probe-link
bench-probe-link: deps-test ## how much later frames are beside probes, on slow and on full lines (root)
	@$(MAKE) --no-print-directory all $(B)/test/bench/probe_link
	@B=$(B) $(B)/test/bench/probe_link

# ONNX Runtime, the peer for models: in a virtual environment, as Debian 12 has no package of it. One
# for all build folders.
PACKAGES_ORT = ffmpeg python3-venv
ORT_VENV = build/ort-venv

$(ORT_VENV)/ready:
	@echo "bench: fetching ONNX Runtime into $(ORT_VENV) (once)"
	@python3 -m venv $(ORT_VENV) && \
		$(ORT_VENV)/bin/pip install --quiet --disable-pip-version-check onnxruntime numpy pillow || \
		{ echo "bench: failed; it needs Python's onnxruntime, numpy and pillow in $(ORT_VENV)" >&2; exit 1; }
	@touch $@

$(B)/test/bench/vtest_accuracy: $(B)/obj/tests/bench/vtest_accuracy.o $(B)/obj/tests/pipeline/person_score.o
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ -ljson-c -lm

.PHONY: bench-accuracy
bench-accuracy: deps-test ## recall and precision on real video at several rungs, beside ONNX Runtime
	@mk/deps.sh $(PACKAGES_ORT)
	@$(MAKE) --no-print-directory all $(B)/test/bench/vtest_accuracy $(ORT_VENV)/ready
	@mk/sample-video.sh
	@B=$(B) TEST_DATA=$(TEST_DATA) ORT_PYTHON=$(ORT_VENV)/bin/python tests/bench/accuracy.sh

$(B)/test/bench/plan_run: $(B)/obj/tests/bench/plan_run.o $(DOUBLES) $(call archives,kernels)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: bench-engine
bench-engine: deps-test ## the engine's outputs, times and memory beside ONNX Runtime and OpenVINO, every model at hand
	@mk/deps.sh $(PACKAGES_ORT)
	@$(MAKE) --no-print-directory $(B)/test/bench/plan_run $(B)/test/bench/onnx_copy $(ORT_VENV)/ready \
		$(OPENVINO_VENV)/ready
	@mk/sample-video.sh
	@$(ORT_VENV)/bin/python tests/bench/engine.py $(B)/test/bench $(B)/demo/vtest.avi $(TEST_DATA) \
		$(ORT_VENV)/bin/python $(OPENVINO_VENV)/bin/python

$(B)/test/bench/onnx_copy: $(B)/obj/tests/bench/onnx_copy.o $(call archives,kernels)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# ONNX's own checker, for bench-onnx alone.
$(ORT_VENV)/onnx-ready: $(ORT_VENV)/ready
	@$(ORT_VENV)/bin/pip install --quiet --disable-pip-version-check onnx || \
		{ echo "bench: failed; it needs Python's onnx in $(ORT_VENV)" >&2; exit 1; }
	@touch $@

.PHONY: bench-onnx
bench-onnx: deps-test ## models that the engine has written, in ONNX Runtime
	@mk/deps.sh $(PACKAGES_ORT)
	@$(MAKE) --no-print-directory $(B)/test/bench/onnx_copy $(B)/test/bench/plan_run $(ORT_VENV)/onnx-ready
	@$(ORT_VENV)/bin/python tests/bench/onnx_ort.py $(B)/test/bench/onnx_copy $(B)/test/bench/plan_run $(TEST_DATA)

# The pipeline test of accuracy counts as bench-accuracy does.
$(B)/test/pipeline/accuracy_test: $(B)/obj/tests/pipeline/person_score.o

.PHONY: bench-bare
bench-bare: ## both README commands in a bare Debian 12 (root, network, debootstrap)
	@mk/deps.sh debootstrap
	@B=$(B) tests/bench/bare.sh

$(B)/test/bench/faults_bench: $(B)/obj/tests/bench/faults_bench.o $(B)/obj/tests/pipeline/fault_run.o \
		$(B)/obj/tests/pipeline/harness.o $(B)/lib/net.a $(B)/lib/media.a $(B)/lib/config.a $(B)/lib/base.a
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -ljson-c -lcmocka

.PHONY: bench-faults
bench-faults: deps-test ## both daemons killed at 200 seeded points: each frame has one answer, none is missing
	@$(MAKE) --no-print-directory all $(B)/test/bench/faults_bench $(B)/test/pipeline/fault_kill.so
	@B=$(B) $(B)/test/bench/faults_bench
