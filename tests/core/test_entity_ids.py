"""The entity IDs that Home Assistant makes of names; the expected ones are those of python-slugify."""

import pytest

from stbridge.core.entity_ids import entity_id, is_certain


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("syncthing nas Photos Status", "syncthing_nas_photos_status"),
        ("{{ 1 / 0 }} Papers", "1_0_papers"),
        ("Müll \u2013 größer & schöner", "mull_grosser_schoner"),
        ("Łódź, Ærø, Đorđe, ÉCOLE", "lodz_aero_dorde_ecole"),
        ("1,000 files", "1000_files"),
        ("Anna's Fotos", "anna_s_fotos"),
        ("Anna\u2019s Fotos", "annas_fotos"),
        ("Фотографии Щука", "fotografii_shchuka"),
        ("Київ ґанок", "kiiv_ganok"),
        ("Ελλάδα Ξένος", "ellada_ksenos"),
        ("İstanbul ışık", "istanbul_isik"),  # noqa: RUF001
        ("100 % ½ №5 ™", "100_1_2_no5_tm"),
        ("😀 Fun ★", "fun"),
        ("-- …", "unknown"),
    ],
)
def test_a_name_becomes_an_entity_id(name: str, expected: str) -> None:
    """Letters become Latin letters, and everything else separates words."""
    assert is_certain(name)
    assert entity_id("sensor", name) == f"sensor.{expected}"


@pytest.mark.parametrize("name", ["写真", "photos 写真", "صور", "תמונות", "사진", "₿"])
def test_an_entity_id_of_other_scripts_is_not_certain(name: str) -> None:
    """Home Assistant replaces their letters by Latin ones, too."""
    assert not is_certain(name)
