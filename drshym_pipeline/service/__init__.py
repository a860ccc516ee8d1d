"""The HTTP service: `POST /v1/segment`, its jobs and workers, the finished maps, their tiles and the page.

What belongs here: requests and answers, the queue, the processes that map scenes, and who may see which file. Mapping
itself is `mapping.map_scene`, as for the command and the lineage graph. `docs/service.md` describes the interface.
"""
