# The CUDA back end: kernels-cuda.so, which the daemons open at run time, and the same sources as plain
# loops, for checks on machines without a GPU (kernels/cuda/launch.h).

CUDA ?= $(firstword $(wildcard /usr/local/cuda /opt/cuda) $(patsubst %/bin/nvcc,%,$(shell command -v nvcc 2>/dev/null)))
NVCC = $(CUDA)/bin/nvcc
# Every architecture from Turing on that the toolkit knows, and its newest for those to come.
CUDA_ARCHS ?= 75 80 86 89 90 100 120

# What only a GPU has; emulate.c stands in its place.
CUDA_REAL = kernels/cuda/gpu.c $(wildcard kernels/cuda/lib_*.c)
CUDA_SHARED = $(filter-out $(CUDA_REAL) kernels/cuda/emulate.c,$(wildcard kernels/cuda/*.c))
CUDA_KERNELS = $(wildcard kernels/cuda/*.cu)

# ---- the emulated device ----

EMULATED = $(patsubst kernels/cuda/%,$(B)/obj/emulated/%.o,$(CUDA_SHARED) kernels/cuda/emulate.c $(CUDA_KERNELS))

# A kernel that a file shows to others as a macro's function has its prototype in the file's header.
$(B)/obj/emulated/%.cu.o: kernels/cuda/%.cu $(B)/flags
	@mkdir -p $(@D)
	@echo "  CC $< (emulated)"
	@$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -x c -c -o $@ $<

$(B)/obj/emulated/%.c.o: kernels/cuda/%.c $(B)/flags
	@mkdir -p $(@D)
	@echo "  CC $< (emulated)"
	@$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/test/lab/cuda_ops: $(OPS) $(B)/obj/kernels/lab/ops.o $(B)/obj/kernels/lab/device_emulated.o $(EMULATED) \
		$(DOUBLES) $(call archives,kernels)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Ladders of the kernels (kernels/lab/cuda_lab.h).
CUDA_LADDERS = $(patsubst %.c,$(B)/obj/%.o,$(wildcard kernels/lab/cuda_*.c))

$(B)/test/lab/cuda_kernels: $(CUDA_LADDERS) $(EMULATED) $(call archives,kernels)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Unit tests of the back end run on it.
$(B)/test/unit/kernels/cuda_%_test: $(B)/obj/tests/unit/kernels/cuda_%_test.o $(EMULATED) $(DOUBLES) \
		$(call archives,kernels)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

# ---- the real one ----

CUDA_FLAGS = $(foreach a,$(CUDA_ARCHS),-gencode=arch=compute_$(a),code=sm_$(a)) \
	-gencode=arch=compute_$(lastword $(CUDA_ARCHS)),code=compute_$(lastword $(CUDA_ARCHS))
CUDA_CPPFLAGS = -D_GNU_SOURCE -Icommon -Ikernels -I$(CUDA)/include

$(B)/obj/cuda/%.cu.o: kernels/cuda/%.cu $(B)/flags
	@mkdir -p $(@D)
	@echo "  NVCC $<"
	@$(NVCC) $(CUDA_CPPFLAGS) $(CUDA_FLAGS) -std=c++17 -O3 -Werror all-warnings -Xcompiler=-fPIC,-Wall,-fvisibility=hidden \
		-MMD -MP -MF $(@:.o=.d) -c -o $@ $<
