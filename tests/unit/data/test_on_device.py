"""What a step needs on its device reaches it without a copy that the host waits for."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from cassle.data.on_device import constant, send
from cassle.data.view_settings import ViewSettings
from cassle.data.views import apply, clean_view, draw, normalize

META = torch.device("meta")


class Copies(TorchDispatchMode):
    """Counts tensors made of Python numbers, and copies from the host to a device."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        from_host = func is torch.ops.aten._to_copy.default and args[0].device.type == "cpu" and made.device == META
        self.count += func is torch.ops.aten.lift_fresh.default or from_host
        return made


def test_views_copy_nothing_to_the_device_but_for_the_first_time():
    settings = ViewSettings(size=8, blur=0.5, solarize=0.2, rotate=10.0)
    drawn = draw(settings, 4, 12, 12, torch.Generator()).to(META)
    images = torch.empty(4, 3, 12, 12, dtype=torch.uint8, device=META)

    def views():
        normalize(apply(images, drawn, settings), (0.5, 0.4, 0.3), (0.2, 0.2, 0.2))
        clean_view(images, 8, (0.5, 0.4, 0.3), (0.2, 0.2, 0.2))

    views()
    with Copies() as copies:
        views()
    assert copies.count == 0


def test_the_counter_sees_both_kinds_of_copy():
    with Copies() as copies:
        torch.tensor([1.0], device=META)
        torch.ones(1).to(META)
    assert copies.count == 2


def test_a_constant_is_made_once_whatever_sequence_names_it():
    made = constant((1, 2), torch.device("cpu"))
    assert made.tolist() == [1.0, 2.0]
    assert made is constant([1.0, 2.0], torch.device("cpu"))


def test_what_is_sent_to_where_it_is_stays():
    tensor = torch.ones(2)
    assert send(tensor, torch.device("cpu")) is tensor
