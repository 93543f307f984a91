"""What `hwloop.torch` holds: modules on devices, and networks of blocks taught by a device."""

from ..mappings.torch_modules import DeviceConv2d, DeviceLinear, convert, ledger, sync, weights
from .torch_blocks import Blocks

__all__ = ["Blocks", "DeviceConv2d", "DeviceLinear", "convert", "ledger", "sync", "weights"]
