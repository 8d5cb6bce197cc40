"""Parts of a run for several machines: claims on models divided so that each part loads as few models as it can."""

from collections.abc import Sequence


def in_shard(places: Sequence[tuple[str, str]], part: int, parts: int) -> list[bool]:
    """Tell which places (models, claim) belong to a part, counted from 1 on.

    Every place belongs to exactly one. Models go round; where there are fewer of them than parts, so do their claims,
    and claims of one model on several machines share no passes.
    """
    models = {label: number for number, label in enumerate(dict.fromkeys(label for label, _ in places))}
    if len(models) >= parts:
        return [models[label] % parts == part - 1 for label, _ in places]
    return [number % parts == part - 1 for number in range(len(places))]
