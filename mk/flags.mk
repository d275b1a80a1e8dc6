# Compiler settings. SANITIZE is set by mk/sanitize.mk alone.
CC = gcc
VERSION = 0.1.0
COMMIT := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

LIBRARIES = libuv sqlite3 libzmq libprotobuf-c yaml-0.1 json-c expat libavformat libavcodec libavutil libswscale \
	libmicrohttpd libsystemd

# What the build can do without. MQTT= builds without it where it is there, too.
MQTT := $(shell pkg-config --exists libmosquitto && echo yes)
LIBRARIES += $(if $(MQTT),libmosquitto)
WITHOUT = $(addprefix edge-agent/sink_mqtt,$(if $(MQTT),_none.c,.c _link.c))

CPPFLAGS += -D_GNU_SOURCE -Icommon -Ikernels -I$(B)/gen $(PKG_CFLAGS)
# What the build cannot do without, and what one object asks for by its name (mk/build.mk).
OWN_CFLAGS = -std=c11 -O2 -g -fno-omit-frame-pointer -pthread -Wall -Wextra -Werror -Wshadow \
	-Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wformat=2 \
	$(SANITIZE)
# For whoever calls make, as CFLAGS=-O1 behind its name: comes last, so it adds and wins. Taken for all
# flags, it left kernels without their instructions, and the program aborted in them.
CFLAGS =
ALL_CFLAGS = $(OWN_CFLAGS)$(if $(CFLAGS), $(CFLAGS))
LDFLAGS += -pthread $(SANITIZE)
LDLIBS = $(PKG_LIBS) -ldnnl -lgomp -lm

# Looked up once per make, and only where something is compiled.
PKG_CFLAGS = $(eval PKG_CFLAGS := $(shell pkg-config --cflags $(LIBRARIES)))$(PKG_CFLAGS)
PKG_LIBS = $(eval PKG_LIBS := $(shell pkg-config --libs $(LIBRARIES)))$(PKG_LIBS)
