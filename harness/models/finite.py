"""Numbers that are none: NaN and infinity are refused where they arise, since no comparison with NaN is ever true."""

from collections.abc import Iterable

from torch import Tensor, nn

from harness.errors import ClaimsError

SHOWN = 5  # names of tensors in a message
HALF = "half precision overflows at 65,504: measure with --dtype float32"


class NotFiniteError(ClaimsError):
    """Numbers of some images that are NaN or infinite; `rows` are their places in the batch."""

    def __init__(self, what: str, rows: Iterable[int], images: int, beside: str = "") -> None:
        self.what, self.rows, self.images = what, tuple(rows), images
        super().__init__(f"{what}: NaN or infinity for {len(self.rows)} of {images} images{beside} ({HALF})")

    def of(self, picture: str, claims: Iterable[str]) -> "NotFiniteError":
        """Say of which picture, the first of them, and for which claims it was measured."""
        beside = f", first {picture!r}, measured for {', '.join(claims)}"
        return NotFiniteError(self.what, self.rows, self.images, beside)


def refuse_not_finite(values: Tensor, what: str) -> None:
    """Raise NotFiniteError where numbers [image, ...] are NaN or infinite, read once where they are not."""
    if bool(values.detach().sum().isfinite()):  # NaN and infinity survive a sum, unless infinities cancel to NaN
        return
    wrong = ~values.detach().isfinite()
    if bool(wrong.any()):  # else only the sum overflowed
        raise NotFiniteError(what, wrong.flatten(1).any(dim=1).nonzero().flatten().tolist(), len(values))


def refuse_not_finite_weights(model: nn.Module, name: str) -> None:
    """Raise ClaimsError naming the tensors of a model that hold NaN or infinity."""
    named = model.state_dict().items()
    wrong = [key for key, value in named if value.is_floating_point() and not bool(value.isfinite().all())]
    if wrong:
        shown = ", ".join(map(repr, wrong[:SHOWN])) + (" ..." if len(wrong) > SHOWN else "")
        raise ClaimsError(
            f"the weights of {name!r} are not finite: NaN or infinity in {len(wrong)} tensor(s), {shown}; allowed: "
            f"finite weights ({HALF})"
        )
