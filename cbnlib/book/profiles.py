"""The editions of the book, which are the values of the parameter `profile` of a notebook."""

from typing import Literal, cast, get_args

Profile = Literal["quick", "paper", "smoke", "smoke-zeros", "smoke-diverged"]
"""`quick` trains small networks, `paper` shows the records of full-size runs. The others are the
project's own (`cbnlib.book.smoke`). Notebooks must cope with what such training leaves."""

PROFILES: tuple[str, ...] = get_args(Profile)


def check_profile(profile: str) -> Profile:
    """Return the profile if it is one.

    Raises:
        ValueError: If it is unknown.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}, got {profile!r}")
    return cast(Profile, profile)
