"""Pictures cut into the cells of a grid, as rows of pixels, and put together again."""

from jaxtyping import Float
from torch import Tensor

from harness.images.thumbnails import pixels_of
from harness.models.subject import Preprocessing

Cells = Float[Tensor, "image place pixel"]
Pixels = Float[Tensor, "image channel row column"]


def shown(images: Pixels, preprocessing: Preprocessing) -> Pixels:
    """Undo the normalization, where the pictures are: pixels on the [0, 1] scale."""
    return pixels_of(images, preprocessing).to(images.device)


def cells_of(pixels: Pixels, grid: tuple[int, int]) -> Cells:
    """Cut pictures into rows of pixels, by channel, row and column within a cell; the grid must tile them."""
    rows, columns = grid
    down, across = (side // parts for side, parts in zip(pixels.shape[-2:], grid, strict=True))
    cut = pixels.unflatten(3, (columns, across)).unflatten(2, (rows, down))
    return cut.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def put_together(cells: Cells, grid: tuple[int, int], size: tuple[int, int]) -> Pixels:
    """Make pictures of `size` (rows, columns) of their cells: the inverse of `cells_of`."""
    rows, columns = grid
    down, across = size[0] // rows, size[1] // columns
    cut = cells.unflatten(2, (-1, down, across)).unflatten(1, (rows, columns))
    return cut.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
