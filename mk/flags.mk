# Compiler settings. SANITIZE is set by mk/sanitize.mk alone.
CC = gcc
VERSION = 0.1.0
COMMIT := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

LIBRARIES = libuv libzmq libprotobuf-c yaml-0.1 json-c expat libavformat libavcodec libavutil libswscale \
	libmicrohttpd libsystemd

CPPFLAGS += -D_GNU_SOURCE -Icommon -Ikernels -I$(B)/gen $(PKG_CFLAGS)
CFLAGS = -std=c11 -O2 -g -fno-omit-frame-pointer -pthread -Wall -Wextra -Werror -Wshadow \
	-Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wformat=2 \
	$(SANITIZE)
LDFLAGS += -pthread $(SANITIZE)
LDLIBS = $(PKG_LIBS) -ldnnl -lgomp -lm

# Looked up once per make, and only where something is compiled.
PKG_CFLAGS = $(eval PKG_CFLAGS := $(shell pkg-config --cflags $(LIBRARIES)))$(PKG_CFLAGS)
PKG_LIBS = $(eval PKG_LIBS := $(shell pkg-config --libs $(LIBRARIES)))$(PKG_LIBS)
