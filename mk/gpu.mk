# What is run on a machine with a GPU, and is made ready on one without. There: the CUDA toolkit, gcc, make,
# python3 with PyTorch; none of the packages that the rest of the build needs.
#
#   make gpu-bundle                      here: programs, networks and what they should give
#   make test-gpu  BUNDLE=…              there: everything checked, in less than ten minutes
#   make bench-gpu BUNDLE=…              there: everything timed, beside PyTorch, in less than ten minutes

BUNDLE ?= build/gpu-bundle
PACKAGES_GPU = ffmpeg python3

# All of the engine but the cpu back end, and of the libraries nothing but protobuf-c, which is linked in.
GPU_OBJECTS = $(call objects,$(filter-out kernels/cpu/% kernels/builtin.c,$(kernels_SRC)) $(base_SRC)) \
	$(B)/obj/tests/gpu/no_cpu.o
GPU_LIBS = -Wl,-Bstatic -lprotobuf-c -Wl,-Bdynamic -ldl -lm
GPU_PROGRAMS = $(patsubst %,$(B)/test/gpu/%,ops model_check plan_time)

$(B)/test/gpu/ops: $(filter-out %/ops_bench.o,$(OPS)) $(B)/obj/kernels/lab/ops.o $(B)/obj/kernels/lab/device_cuda.o \
		$(DOUBLES)
$(B)/test/gpu/model_check: $(patsubst %,$(B)/obj/tests/gpu/%.o,model_check model_list model_scores) \
		$(B)/obj/kernels/lab/compare.o
$(B)/test/gpu/plan_time: $(patsubst %,$(B)/obj/tests/gpu/%.o,plan_time model_list)

# Ladders of the own kernels (mk/cuda.mk).
GPU_LADDERS = $(if $(CUDA_MISSING),,$(B)/test/gpu/cuda_kernels)

# kernels-cuda.so takes what it needs of the engine from the program that opens it.
$(GPU_PROGRAMS): $(GPU_OBJECTS)
	@mkdir -p $(@D)
	@echo "  LD $@"
	@$(CC) $(LDFLAGS) -rdynamic -o $@ $^ $(GPU_LIBS)

.PHONY: gpu-bundle
gpu-bundle: deps-build ## what test-gpu and bench-gpu need on a machine with a GPU: build/gpu-bundle
	@mk/deps.sh $(PACKAGES_GPU)
	@$(MAKE) --no-print-directory cuda $(GPU_PROGRAMS) $(GPU_LADDERS)
	@python3 tests/gpu/bundle.py $(BUNDLE) $(B) $(TEST_DATA)

.PHONY: test-gpu
test-gpu: ## all ops and networks on this machine's GPU; BUNDLE is from `make gpu-bundle`
	@tests/gpu/test.sh $(BUNDLE)

.PHONY: bench-gpu
bench-gpu: ## how fast networks are on this machine's GPU, beside PyTorch; BUNDLE as for test-gpu
	@tests/gpu/bench.sh $(BUNDLE)
