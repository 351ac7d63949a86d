"""Limits that all replicas share, counted in a Redis, and never waited for.

    shared = SharedLimits(clients, RedisPlace.parse("redis://127.0.0.1:6379/0"), perf_counter)
    await shared.run()                    until cancelled; what is left is given back then

A replica leases tokens in blocks: every `EVERY` seconds it tells the Redis, in one script and a thread beside the loop, what each client that
asked has spent here, and gets about as much as it will need until the next time; what it does not need it gives back. A client that asks
between two such times spends in advance, as many as the shared bucket was last seen to have and at most max(64, a quarter of its burst).
The advance is charged afterwards, so in the long run a client gets exactly its rate. At most, within any time T, R replicas let through

    burst + rate · T + R · min(burst, max(64, burst / 4))        requests of one client, and of its quota what they let through in `EVERY`

While the Redis is out each replica counts for itself, beginning with what it had leased, and asks again after 0.1 s, 0.2 s … 2 s. What was
spent of a quota meanwhile is told afterwards, once: a report whose answer was lost is sent again under its old number.

    PREFIX:{limits}:rate:CLIENT            hash: tokens, at (Redis's own clock); goes when the bucket would be full
    PREFIX:{limits}:quota:DAY:CLIENT       requests of a day (days since 1970, UTC); goes after two days
    PREFIX:{limits}:heard:REPLICA          number of its last report
"""

import asyncio
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import islice

from inference.clients.buckets import Account, Clients, Share
from presage.errors import StateError
from presage.logs import get_logger
from presage.redis import RedisLink, RedisPlace

EVERY = 0.1
ANSWER_SECONDS = 1.0
_LOOK_AGAIN = 1.0
MOST_ACCOUNTS = 1000
"""Clients in one report; the others are in the next."""
_SCRIPT = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1e6
local day = string.format('%d', math.floor(now / 86400))
local heard = redis.call('GET', KEYS[1]) == ARGV[1]
redis.call('SET', KEYS[1], ARGV[1], 'EX', 86400)
local answers = {string.format('%.6f', 86400 - now % 86400)}
for i = 2, #KEYS do
  local a = 3 + (i - 2) * 6
  local client, rate, burst = ARGV[a], tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  local debt, want, spent = tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4]), tonumber(ARGV[a + 5])
  local stored = redis.call('HMGET', KEYS[i], 'tokens', 'at')
  local tokens = tonumber(stored[1] or burst)
  tokens = math.min(burst, tokens + math.max(0, now - tonumber(stored[2] or now)) * rate)
  local granted = 0
  if not heard then
    if want < 0 then
      granted = want
    else
      granted = math.max(debt, math.floor(math.min(want, tokens)))
    end
    tokens = math.min(burst, tokens - granted)
  end
  redis.call('HSET', KEYS[i], 'tokens', string.format('%.6f', tokens), 'at', string.format('%.6f', now))
  redis.call('EXPIRE', KEYS[i], math.ceil((burst - tokens) / rate) + 60)
  local used = 0
  if spent >= 0 then
    local quota = ARGV[2] .. ':quota:' .. day .. ':' .. client
    if spent > 0 and not heard then
      used = redis.call('INCRBY', quota, spent)
      redis.call('EXPIRE', quota, 172800)
    else
      used = tonumber(redis.call('GET', quota) or 0)
    end
  end
  answers[#answers + 1] = granted
  answers[#answers + 1] = string.format('%.6f', tokens)
  answers[#answers + 1] = used
end
return answers
"""
_log = get_logger("presage.clients")


class SharedLimits:
    """Keeps `clients` in step with the other replicas. clock: the one that `clients` are asked with."""

    def __init__(self, clients: Clients, place: RedisPlace, clock: Callable[[], float]) -> None:
        self._clients, self._place, self._clock = clients, place, clock
        self._link = RedisLink(place, ANSWER_SECONDS)
        self._replica = secrets.token_hex(8)
        self._number, self._look_at = 0, 0.0
        self._pending: list[Account] = []
        self.shared = self._said = False
        self._asking = threading.Lock()

    async def run(self, every: float = EVERY) -> None:
        """Until cancelled."""
        try:
            while True:
                await self.step()
                await asyncio.sleep(every)
        finally:
            await asyncio.to_thread(self._give_back)

    async def step(self) -> None:
        """Tell and ask once, where there is anything to tell, the Redis was out, or nothing was heard of it for a second."""
        self._report()
        now = self._clock()
        if not self._pending and self.shared and now < self._look_at:
            return
        self._look_at = now + _LOOK_AGAIN
        try:
            answers = await asyncio.to_thread(self._ask)
        except StateError as error:
            self._alone(error)
            return
        self._settle(answers)

    def _report(self) -> None:
        """What is to be told, under a new number; the same as before where that was not heard."""
        if not self._pending:
            now = self._clock()
            found = (account for bucket in self._clients.buckets() if (account := bucket.account(now)) is not None)
            self._pending = list(islice(found, MOST_ACCOUNTS))
            self._number += 1

    def _ask(self) -> list[bytes | int]:
        """In a thread beside the loop's."""
        prefix = f"{self._place.prefix}:{{limits}}"
        keys, arguments = [f"{prefix}:heard:{self._replica}"], [str(self._number), prefix]
        for account in self._pending:
            bucket = account.bucket
            limit = bucket.limit
            keys.append(f"{prefix}:rate:{bucket.name}")
            spent = account.spent_today if limit.requests_per_day else -1
            arguments += (bucket.name, repr(limit.requests_per_minute / 60), str(limit.burst), str(account.debt), str(account.want), str(spent))
        with self._asking:
            [answers] = self._link.ask(("EVAL", _SCRIPT, len(keys), *keys, *arguments))
        found: list[bytes | int] = answers
        return found

    def _settle(self, answers: list[bytes | int]) -> None:
        if not self.shared:
            self.shared = True
            self._clients.together()
            _log.info("limits are counted with the other replicas", store=str(self._place))
        now = self._clock()
        ends = now + float(answers[0])
        for index, account in enumerate(self._pending):
            granted, remote, used = answers[1 + 3 * index : 4 + 3 * index]
            account.bucket.settle(account, Share(int(granted), float(remote), int(used), ends), now)
        self._pending = []

    def _alone(self, error: StateError) -> None:
        # What was asked for is of another time now; what was spent of quotas is told until it is heard.
        self._pending = [replace(account, debt=0, want=0) for account in self._pending]
        if self.shared or not self._said:
            self.shared, self._said = False, True
            self._clients.alone()
            _log.error("limits are counted by this replica alone", reason=error.message)

    def _give_back(self) -> None:
        """What is leased and will not be spent here, so that the others have it."""
        with suppress(StateError):
            if self.shared:
                self._report()
                self._ask()
        self._link.close()
