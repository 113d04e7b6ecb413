"""What `offbook escape` says before it does anything: one line that names what to give."""

from pathlib import Path

import pytest

from exchange.app.escaping import EscapePlan, run_escape
from exchange.app.failures import Failure

CONTRACT = "0x" + "11" * 20


def refused(plan: EscapePlan) -> str:
    """The line of the failure; nothing was said before it."""
    said: list[str] = []
    with pytest.raises(Failure) as failure:
        run_escape(plan, said.append)
    assert said == []
    return str(failure.value)


@pytest.mark.parametrize("text", ["", "0x12", "settlement", CONTRACT + "00"])
def test_what_is_no_address_is_refused(text: str) -> None:
    """Twenty bytes in hex."""
    assert "no address: 0x and 40 hex digits" in refused(EscapePlan("http://127.0.0.1:9", text))


@pytest.mark.parametrize(
    ("content", "said"), [(None, "No such file"), ("zz", "non-hexadecimal"), ("0x12", "holds 1 bytes")]
)
def test_what_is_no_key_is_refused(tmp_path: Path, content: str | None, said: str) -> None:
    """A missing file, letters, a short key."""
    path = tmp_path / "key"
    if content is not None:
        path.write_text(content)
    assert said in refused(EscapePlan("http://127.0.0.1:9", CONTRACT, key_file=path))


def test_a_chain_that_does_not_answer_is_named() -> None:
    """No traceback: the URL, and what was asked."""
    assert "chain at http://127.0.0.1:9 gave no answer" in refused(EscapePlan("http://127.0.0.1:9", CONTRACT))
