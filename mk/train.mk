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
	@$(TRAIN_VENV)/bin/python tests/bench/ten_steps.py "PyPI's torch" >tests/unit/kernels/ten_steps_expected.h
