# Training and precision beside others: PyTorch, the peer for training, and OpenVINO, that for bf16, in
# virtual environments of their own, one for all build folders.

PACKAGES_TRAIN = python3-venv python3-dev g++
PACKAGES_OPENVINO = ffmpeg python3-venv
TRAIN_VENV = build/train-venv
OPENVINO_VENV = build/openvino-venv

$(TRAIN_VENV)/ready: mk/train-venv.sh
	@mk/train-venv.sh $(TRAIN_VENV)
	@touch $@

$(B)/test/bench/train_bench: $(B)/obj/tests/bench/train_bench.o $(B)/obj/tests/bench/train_nets.o \
		$(call archives,kernels)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: bench-train
bench-train: deps-test ## training steps of two networks beside PyTorch, in turn, in each precision
	@mk/deps.sh $(PACKAGES_TRAIN)
	@$(MAKE) --no-print-directory $(B)/test/bench/train_bench $(TRAIN_VENV)/ready
	@$(TRAIN_VENV)/bin/python tests/bench/train_bench.py $(B)/test/bench/train_bench \
		models/street_det/street_det.onnx

.PHONY: ten-steps
ten-steps: ## the losses that ten_steps_test replays, made anew by PyTorch
	@mk/deps.sh $(PACKAGES_TRAIN)
	@$(MAKE) --no-print-directory $(TRAIN_VENV)/ready
	@$(TRAIN_VENV)/bin/python tests/bench/ten_steps.py "PyPI's torch" >$(B)/ten_steps_expected.h
	@mv $(B)/ten_steps_expected.h tests/unit/kernels/

$(OPENVINO_VENV)/ready:
	@echo "bench: fetching OpenVINO into $(OPENVINO_VENV) (once)"
	@python3 -m venv $(OPENVINO_VENV) && \
		$(OPENVINO_VENV)/bin/pip install --quiet --disable-pip-version-check openvino numpy || \
		{ echo "bench: failed; it needs Python's openvino and numpy in $(OPENVINO_VENV)" >&2; exit 1; }
	@touch $@

$(B)/test/bench/bf16_run: $(B)/obj/tests/bench/bf16_run.o $(call archives,kernels)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/obj/tests/bench/bf16_boxes.o: CPPFLAGS += -Icloud-server
$(B)/test/bench/bf16_boxes: $(B)/obj/tests/bench/bf16_boxes.o $(call archives,cloud-server)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: bench-bf16
bench-bf16: deps-test ## what bf16 changes in outputs and boxes on real frames, beside OpenVINO
	@mk/deps.sh $(PACKAGES_OPENVINO)
	@$(MAKE) --no-print-directory $(B)/test/bench/bf16_run $(B)/test/bench/bf16_boxes $(OPENVINO_VENV)/ready
	@mk/sample-video.sh
	@$(OPENVINO_VENV)/bin/python tests/bench/bf16_openvino.py $(B)/test/bench $(B)/demo/vtest.avi $(TEST_DATA)
