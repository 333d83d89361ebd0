"""What every algorithm must do: the checks behind ``offbench check`` and the shared tests."""
