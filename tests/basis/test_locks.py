import threading
import time

import pytest

from offbench.basis.locks import locked


def test_only_one_holds_it_at_a_time_and_no_file_stays(tmp_path):
    inside, most, done = [], [], []

    def work():
        for _ in range(20):
            with locked(tmp_path / "x.lock"):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.0005)
                inside.pop()
        done.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(done) == 4
    assert set(most) == {1}
    assert len(most) == 80
    assert list(tmp_path.iterdir()) == []


def test_it_is_freed_after_an_error_and_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(RuntimeError), locked(tmp_path / "x.lock"):
        raise RuntimeError
    with locked(tmp_path / "x.lock"):
        pass
    with pytest.raises(OSError, match="nowhere"), locked(tmp_path / "nowhere" / "x.lock"):
        pass
