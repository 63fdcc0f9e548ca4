"""The served contract as Python sees it: stubs made from proto/ by grpcio-tools.

Nothing of ours is in between: what a plugin author gets from the same files is what is tested.
"""

import importlib
import sys
import tempfile
from importlib import resources
from pathlib import Path
from types import ModuleType

PROTO = Path(__file__).resolve().parents[2] / "proto"
SERVED = ("locum/broker/v1", "locum/admin/v1")

_stubs = tempfile.TemporaryDirectory(prefix="locum-stubs-")


def _generate(into: str) -> None:
    from grpc_tools import protoc

    files = [str(file.relative_to(PROTO)) for _, file in _files()]
    if not files:
        raise SystemExit(f"no contract below {PROTO}")
    well_known = str(resources.files("grpc_tools") / "_proto")
    arguments = ["protoc", f"-I{PROTO}", f"-I{well_known}", f"--python_out={into}", f"--grpc_python_out={into}"]
    if protoc.main([*arguments, *files]) != 0:
        raise SystemExit("protoc refuses the contract")


def module(name: str) -> ModuleType:
    """A generated module, for instance `broker.v1.task_service_pb2`."""
    return importlib.import_module(f"locum.{name}")


def methods() -> set[str]:
    """Everything that proto/ says is served, as `SERVICE/METHOD`."""
    files = [module(f"{part.removeprefix('locum/').replace('/', '.')}.{file.stem}_pb2") for part, file in _files()]
    services = [service for file in files for service in file.DESCRIPTOR.services_by_name.values()]
    return {f"{service.full_name}/{method.name}" for service in services for method in service.methods}


def _files() -> list[tuple[str, Path]]:
    return [(part, file) for part in SERVED for file in sorted((PROTO / part).glob("*.proto"))]


_generate(_stubs.name)
sys.path.insert(0, _stubs.name)

scope = module("broker.v1.scope_pb2")
task = module("broker.v1.task_service_pb2")
task_rpc = module("broker.v1.task_service_pb2_grpc")
token = module("broker.v1.token_service_pb2")
token_rpc = module("broker.v1.token_service_pb2_grpc")
check = module("broker.v1.check_service_pb2")
check_rpc = module("broker.v1.check_service_pb2_grpc")
feed = module("broker.v1.feed_service_pb2")
feed_rpc = module("broker.v1.feed_service_pb2_grpc")
control = module("admin.v1.control_service_pb2")
control_rpc = module("admin.v1.control_service_pb2_grpc")
selector = module("admin.v1.selector_pb2")
revocation = module("admin.v1.revocation_service_pb2")
revocation_rpc = module("admin.v1.revocation_service_pb2_grpc")
