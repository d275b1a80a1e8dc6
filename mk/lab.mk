# Ladders: kernels/lab/KERNEL.c, a program for each own kernel (kernels/lab/lab.h tells what they do),
# one for oneDNN's convolutions, and one for the whole op table (kernels/lab/ops.h). `make test` runs
# their checks.

LADDERS = $(patsubst %,$(B)/test/lab/%,attention broadcast bytes chain convolution labels pad split split_conv swish taps winograd ops cuda_ops cuda_kernels)

OPS = $(patsubst %.c,$(B)/obj/%.o,$(wildcard kernels/lab/ops_*.c))

$(B)/test/lab/ops: $(OPS) $(B)/obj/kernels/lab/device_cpu.o
$(B)/test/lab/%: $(B)/obj/kernels/lab/%.o $(DOUBLES) $(call archives,kernels)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: check-kernels
check-kernels: deps-build ## every own kernel and every op against the plain way, and how fast it is
	@$(MAKE) --no-print-directory ladders
	@mk/check-kernels.sh $(LADDERS)

.PHONY: ladders
ladders: $(LADDERS)
