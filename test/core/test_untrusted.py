# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
import zlib
from pathlib import Path

import pytest
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.untrusted import (
    decompress,
    input_limits,
    parse_json,
    parse_yaml,
    reading,
)


@pytest.mark.parametrize('text', ['{', '[' * 100_000, '\ud800'.encode('utf-8', 'surrogatepass')])
def test_json_that_cannot_be_read_names_the_file(text: str | bytes) -> None:
    with pytest.raises(ConfigError, match=r'^a\.json: is damaged or is not valid JSON .*; mend'):
        parse_json(text, 'a.json')


@pytest.mark.parametrize('text', ['a: [', '[' * 10_000, 'a: 2026-13-45', '!!python/tuple [1]'])
def test_yaml_that_cannot_be_read_names_the_file(text: str) -> None:
    with pytest.raises(ConfigError, match=r'^a\.yaml: is damaged or is not valid YAML .*; mend'):
        parse_yaml(text, 'a.yaml')


def test_errors_of_the_user_pass_and_disk_errors_say_the_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='^as it was$'), reading('a', 'b', 'c'):
        raise ConfigError('as it was')
    with pytest.raises(ConfigError, match='gone: cannot be read: No such file'), \
            reading(tmp_path / 'gone', 'b', 'c'):
        (tmp_path / 'gone').read_bytes()


def test_a_long_error_is_cut() -> None:
    with pytest.raises(ConfigError) as caught, reading('a', 'b', 'c'):
        raise ValueError('x' * 10_000)
    assert len(str(caught.value)) < 300


def test_decompression_ends_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    data = zlib.compress(bytes(1000))
    assert decompress(zlib.decompressobj(), data, 'x') == bytes(1000)
    monkeypatch.setenv('PANOPTIC_DEPTH_MAX_BYTES', '999')
    with pytest.raises(ConfigError, match='x: more than 999 bytes; .*PANOPTIC_DEPTH_MAX_BYTES'):
        decompress(zlib.decompressobj(), data, 'x')


@pytest.mark.parametrize('value', ['0', 'much', '-1', '1e400'])
def test_a_wrong_limit_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv('PANOPTIC_DEPTH_MAX_PIXELS', value)
    with pytest.raises(ConfigError, match=f"PANOPTIC_DEPTH_MAX_PIXELS is '{value}'"):
        input_limits()
