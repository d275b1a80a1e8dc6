# Ladders: kernels/lab/KERNEL.c, a program for each own kernel (kernels/lab/lab.h tells what they do),
# one for oneDNN's convolutions, and one for the whole op table (kernels/lab/ops.h). `make test` runs
# their checks.

LADDERS = $(patsubst %,$(B)/test/lab/%,attention broadcast bytes chain convolution depthwise labels pad quantise split split_conv swish taps winograd ops cuda_ops cuda_kernels)

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

# The sources of all modules for 64-bit ARM, where gcc makes NEON of the plain loops. Headers of libraries are this
# machine's; so nothing is linked, and nothing runs.
ARM = aarch64-linux-gnu
ARM_LIBRARIES = $(patsubst %,$(B)/arm/lib/%.a,$(MODULES))
.PHONY: check-arm
check-arm: deps-build ## that both daemons compile for 64-bit ARM, and what of the kernels is NEON there
	@mk/deps.sh $(PACKAGES_ARM)
	+@$(MAKE) --no-print-directory B=$(B)/arm CC=$(ARM)-gcc \
		CFLAGS="-idirafter /usr/include -idirafter $(shell $(CC) -print-multiarch | sed 's,^,/usr/include/,')" \
		$(ARM_LIBRARIES) $(addprefix $(B)/arm/obj/,edge-agent/main.o cloud-server/main.o)
	@for object in lanes row_norm sum_to taps bytes; do \
		echo "$$object: neon=$$($(ARM)-objdump -d $(B)/arm/obj/kernels/cpu/$$object.o | grep -c '\<v[0-9]*\.4s')"; \
	done
	@echo "arm: objects=$$(find $(B)/arm/obj -name '*.o' | wc -l) failed=0"
