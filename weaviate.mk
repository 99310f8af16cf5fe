# A Weaviate server without Docker: built once with Go, started on loopback. The version is pinned in
# adapters/servers/weaviate.py, which needs the standard library alone.
VENV_PYTHON ?= .venv/bin/python
WEAVIATE := $(VENV_PYTHON) -P -m adapters.servers.weaviate

.PHONY: weaviate weaviate-up weaviate-down weaviate-cluster-up weaviate-cluster-down weaviate-status

weaviate: $(VENV_READY)
	$(WEAVIATE) build

weaviate-up: $(VENV_READY)
	$(WEAVIATE) up

weaviate-down: $(VENV_READY)
	$(WEAVIATE) down

weaviate-cluster-up: $(VENV_READY)
	$(WEAVIATE) cluster-up

weaviate-cluster-down: $(VENV_READY)
	$(WEAVIATE) cluster-down

weaviate-status: $(VENV_READY)
	$(WEAVIATE) status
