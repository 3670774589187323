import pytest

from benchmarks.capacity import MEASURED, find_loads, fit, run_clients, run_rate, zipf


@pytest.mark.parametrize("clients", [1, 64])
def test_the_simulation_has_the_rates_that_it_is_fitted_to(clients: int) -> None:
    rate, _ = run_clients(fit(), clients, requests=1500)
    assert rate == pytest.approx(MEASURED[clients][0], rel=0.05)


def test_more_requests_wait_longer_and_so_do_those_of_many_models() -> None:
    few, many = ([run_rate(fit(), rate, zipf(models), requests=2000) for rate in (100, 250)] for models in (1, 100))
    assert few[0] < few[1]
    assert few[1] < many[1]


def test_models_that_fit_are_not_loaded_again() -> None:
    shares = [find_loads(room, zipf(20), requests=1000) for room in (5, 10, 20)]
    assert shares[0] > shares[1] > shares[2] == 0
