"""The fast door: HTTP/1.1 on the event loop itself, without a framework between the socket and the service.

    door         the listener, its connections, the sweep once a second, the drain
    connection   one connection: requests in, answers out in the same order, every wait bounded
    crowd        what a caller gets who is one too many
    refusals     what the door says itself, before any service is asked
    target       request target → path
    wire         answer → bytes

    door = await serve_fast(listener, service, limits, keep_alive=65)
    await door.stop()

What it answers is what the ASGI door answers, byte for byte (tests/inference/fast/test_same_answers.py names where they differ, and why).
"""
