"""Signals, where Python would lose them."""

import gc

import pytest

from loadgen.cli.signals import interruptible


class Finalized:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __del__(self) -> None:
        raise self.error


def test_an_interrupt_in_a_finalizer_comes_at_the_blocks_end(capsys: pytest.CaptureFixture[str]) -> None:
    steps: list[str] = []

    def drawn() -> None:
        with interruptible():
            Finalized(KeyboardInterrupt())
            gc.collect()
            steps.append("went on")

    with pytest.raises(KeyboardInterrupt):
        drawn()
    assert steps == ["went on"]
    assert capsys.readouterr().err == ""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_else_a_finalizer_raises_is_left_to_python() -> None:
    with interruptible():
        Finalized(ValueError("of no use"))
        gc.collect()


def test_an_interrupt_comes_at_once_elsewhere() -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():
        raise KeyboardInterrupt
