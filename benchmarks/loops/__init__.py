"""The same training four times: by hand, by this library, by Avalanche, by pytorch-adapt."""
