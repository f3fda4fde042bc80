"""A third-party policy, as pip would install it."""

from collections.abc import Mapping
from pathlib import Path


def third_party_policy(directory: Path, name: str, source: str) -> Mapping[str, str]:
    """Put a module with the class `ThirdParty` where an observer with this environment finds it."""
    site = directory / name
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (site / f"{name}_policy.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[inbox_observer.policies]\n{name} = {name}_policy:ThirdParty\n")
    return {"PYTHONPATH": str(site), "OBSERVER_POLICIES__EXTRA": f'{{"{name}": {{}}}}'}
