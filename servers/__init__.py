"""The servers under test: a behaviour, and the programs that honour it.

behaviour   who closes, when and how; plan: where to listen, with how many workers
request     bytes to requests; response: a request to what is answered, and to bytes
connection  one accepted connection and how it ends, on which both kinds stand:
            protocol (bare sockets) and aiohttp_server (what users run)
poller      which of many sockets are ready
listener    accepts, and says why it could not
worker      one process of a server; serve: the master of the workers; lines: what they say
"""
