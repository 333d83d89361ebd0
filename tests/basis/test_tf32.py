import pytest
import torch

from offbench.basis.tf32 import tf32

SETTING = torch.backends.cuda.matmul


@pytest.fixture(params=[False, True])
def before(request):
    SETTING.allow_tf32 = request.param
    yield request.param
    SETTING.allow_tf32 = False


def test_the_setting_is_that_of_the_block_alone(before):
    with tf32(True):
        assert SETTING.allow_tf32
        assert torch.get_float32_matmul_precision() == "high"  # which the compiler reads
    assert SETTING.allow_tf32 is before
    with pytest.raises(KeyError), tf32(True):
        raise KeyError
    assert SETTING.allow_tf32 is before


def test_what_is_not_wanted_changes_nothing(before):
    with tf32(False):
        assert SETTING.allow_tf32 is before
    assert SETTING.allow_tf32 is before
