"""Recordings of simulated calls: short WAV files in which two voices take turns."""

import io
import math
import random
import wave
from array import array
from functools import lru_cache
from typing import Final

_RATE: Final = 8_000
_LONGEST_S: Final = 12
TURN_S: Final = 1.5
"""Seconds from the start of one turn to that of the next."""
SPOKEN_S: Final = 0.8 * TURN_S
"""Seconds of a turn in which its voice speaks."""
# The pitch of the agent and of the person called, in hertz.
_PITCHES: Final = (165.0, 220.0)
_LOUDNESS: Final = 6_000


@lru_cache(maxsize=64)
def recording_of(call_id: str, duration_ms: int) -> bytes:
    """Return the recording of a call as a WAV file: 8 kHz, 16 bits, mono, at most 12 seconds of it.

    The same call always has the same recording.
    """
    chance = random.Random(call_id)
    samples = array("h")
    for number in range(int(min(duration_ms / 1000, _LONGEST_S) * _RATE)):
        at_s = number / _RATE
        turn, within = divmod(at_s, TURN_S)
        # Syllables: four a second, each swelling and fading, with a pause between the turns.
        swell = max(0.0, math.sin(within * math.tau * 4)) if within < SPOKEN_S else 0.0
        pitch = _PITCHES[int(turn) % 2]
        tone = math.sin(at_s * math.tau * pitch) + 0.4 * math.sin(at_s * math.tau * pitch * 2)
        samples.append(int(_LOUDNESS * swell * tone + chance.uniform(-40, 40)))
    file = io.BytesIO()
    with wave.open(file, "wb") as output:
        output.setnchannels(1)
        output.setsampwidth(2)
        output.setframerate(_RATE)
        output.writeframes(samples.tobytes())
    return file.getvalue()
