"""What taught the weights that timm names by a tag: a table, with where it is said.

timm writes tags as `scheme_dataset` or `scheme_dataset_ft_dataset`, with a size behind in some (its documentation of
pretrained models). So a tag that ends in a label set of ImageNet, bare or with a size, names a last training that read
these labels. Every other tag is in the table; for one that is not, nothing is known.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Teacher = Literal["labels", "captions", "pictures", "other"]
LABEL_SET = re.compile(r"(^|_)in(1|12|21|22|w21)k(_\d+)?$")


@dataclass(frozen=True)
class Taught:
    """What the last training that changed the trunk learned from, and how in a few words."""

    by: Teacher
    how: str = ""


_LABELS = Taught("labels")
_CAPTIONS = Taught("captions")
_PICTURES = Taught("pictures")
_LANGUAGE = Taught("other", "within a language model that reads pictures")
_AGGLOMERATED = Taught("other", "to reproduce several other models at once")
_MASKS = Taught("other", "with masks of objects")

# By tag, or by `architecture prefix/tag` where one tag means different things; the longest prefix counts.
TAUGHT: Mapping[str, Taught] = {
    # Not from the labels of the set that the tag ends in.
    **dict.fromkeys(("in1k_ijepa", "in22k_ijepa"), _PICTURES),  # I-JEPA, arXiv 2301.08243
    "mim_in22k": Taught("other", "to reproduce features of CLIP at masked places"),  # EVA-02, arXiv 2303.11331
    "mim_m38m": Taught("other", "to reproduce features of CLIP at masked places"),  # EVA-02, arXiv 2303.11331
    "swag_lc_in1k": Taught("other", "with hashtags, and only the head with labels"),  # SWAG, arXiv 2201.08371
    # Pictures alone.
    "dino": _PICTURES,  # arXiv 2104.14294
    "fb_dino": _PICTURES,  # ResMLP trained as DINO, arXiv 2105.03404
    "lvd142m": _PICTURES,  # DINOv2, arXiv 2304.07193
    **dict.fromkeys(("lvd1689m", "dinov3_lvd1689m", "sat493m"), _PICTURES),  # DINOv3, arXiv 2508.10104
    "mae": _PICTURES,  # ViT: arXiv 2111.06377; Hiera: arXiv 2306.00989
    "fcmae": _PICTURES,  # ConvNeXt V2, arXiv 2301.00808
    "seer": _PICTURES,  # arXiv 2103.01988
    "vit_5b_patch16_sapiens2/fb": _PICTURES,  # Sapiens2, arXiv 2604.21681
    **{f"vit_{size}_patch16_sapiens2/fb": _PICTURES for size in ("base", "large", "huge", "giant")},
    # Pictures matched with captions.
    **dict.fromkeys(("openai", "cc12m", "yfcc15m"), _CAPTIONS),  # CLIP, arXiv 2103.00020, and OpenCLIP
    **dict.fromkeys(("laion2b", "laion2b_plus", "laion400m", "laion400m_e32", "merged2b"), _CAPTIONS),  # OpenCLIP, EVA
    **dict.fromkeys(("clip_laion2b", "clip_laion2b_augreg", "clip_laion2b_ft_320", "clip_laion2b_rewind"), _CAPTIONS),
    **dict.fromkeys(("clip_laion2b_ft_soup_320", "clip_laion2b_soup"), _CAPTIONS),  # OpenCLIP's ConvNeXt
    **dict.fromkeys(("clip_laiona", "clip_laiona_320", "clip_laiona_augreg_320"), _CAPTIONS),  # OpenCLIP's ConvNeXt
    **dict.fromkeys(("datacomp1b_clip", "datacomp1b_clip_ltt"), _CAPTIONS),  # ViTamin, arXiv 2404.02132
    "datacompxl": _CAPTIONS,  # DataComp, arXiv 2304.14108
    **dict.fromkeys(("dfn2b", "dfn2b_s39b", "dfn5b"), _CAPTIONS),  # Data Filtering Networks, arXiv 2309.17425
    **dict.fromkeys(("metaclip_400m", "metaclip_2pt5b", "metaclip_altogether"), _CAPTIONS),  # arXiv 2309.16671
    "metaclip2_worldwide": _CAPTIONS,  # arXiv 2507.22062
    **dict.fromkeys(("tinyclip_laion400m", "tinyclip_yfcc15m"), _CAPTIONS),  # arXiv 2309.12314
    **dict.fromkeys(("apple_mclip", "apple_mclip2_dfndr2b", "apple_mclip_lt"), _CAPTIONS),  # arXiv 2311.17049
    **dict.fromkeys(("webli", "webli_i18n"), _CAPTIONS),  # SigLIP, arXiv 2303.15343; TIPSv2 beside other losses
    "v2_webli": _CAPTIONS,  # SigLIP 2, arXiv 2502.14786
    "vit_pe_core/fb": _CAPTIONS,  # Perception Encoder, arXiv 2504.13181
    # Labels outside of ImageNet.
    "bamboo": _LABELS,  # arXiv 2203.07845
    # None of these alone.
    "vit_pe_lang/fb": _LANGUAGE,  # Perception Encoder, arXiv 2504.13181
    "fb_tiling": _LANGUAGE,  # Perception Encoder, arXiv 2504.13181
    "vit_pe_spatial/fb": Taught("other", "to keep features of its own and agree with masks"),  # arXiv 2504.13181
    "eupe_lvd1689m": _AGGLOMERATED,  # EUPE, arXiv 2603.22387
    "c_radio": _AGGLOMERATED,  # RADIO, arXiv 2312.06709
    **dict.fromkeys(("sa1b", "fb_r896", "fb_r1024", "fb_r896_2pt1", "fb_r1024_2pt1"), _MASKS),  # SAM, SAM 2
    **dict.fromkeys(("pt", "indomain_pt"), Taught("other", "to fill in masked pictures and texts")),  # BEiT-3
    **dict.fromkeys(("apple_pt", "apple_pt_dist"), Taught("other", "to continue pictures and captions")),  # AIMv2
    "msft_florence2": _LANGUAGE,  # Florence-2, arXiv 2311.06242
    **dict.fromkeys(("ogvl_2pt5", "ogvl_dist"), _LANGUAGE),  # InternVL, arXiv 2312.14238
    **dict.fromkeys(("pali_pt", "pali_mix", "pali_ocrvqa", "pali_refcoco_seg"), _LANGUAGE),  # arXiv 2407.07726
    **dict.fromkeys(
        ("pali2_3b_pt", "pali2_3b_docci", "pali2_10b_pt", "pali2_10b_docci"), _LANGUAGE
    ),  # arXiv 2412.03555
    **dict.fromkeys(("gemma3n", "gemma4_31b_it", "gemma4_e4b_it"), _LANGUAGE),  # Gemma's model cards
    **dict.fromkeys(("deepseek_v4_1_flash", "deepseek_v4_flash_vision_exp"), _LANGUAGE),  # DeepSeek's model cards
    **dict.fromkeys(("qwen3_5_0_8b", "qwen3_5_2b", "qwen3_5_4b", "qwen3_5_9b", "qwen3_5_27b"), _LANGUAGE),
    **dict.fromkeys(("qwen3_8_27b", "qwen3_8_flash_next", "qwen_drive_1_0_4b"), _LANGUAGE),
    **dict.fromkeys(("qwen3_vl_4b", "qwen3_vl_8b", "qwen3_vl_30b_a3b", "qwen3_vl_32b"), _LANGUAGE),
    "qwen3_vl_235b_a22b": _LANGUAGE,  # Qwen's model cards, as all before it
}


def taught(architecture: str, tag: str) -> Taught | None:
    """Look up what taught the weights of a tag; None where nothing here says it."""
    of_architecture = [key for key in TAUGHT if "/" in key and f"{architecture}/{tag}".startswith(key.split("/")[0])]
    for key in sorted(of_architecture, key=len, reverse=True):
        if key.endswith(f"/{tag}"):
            return TAUGHT[key]
    return TAUGHT.get(tag) or (_LABELS if LABEL_SET.search(tag) else None)
