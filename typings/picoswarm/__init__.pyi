from .channel import Channel as Channel
from .channel import Reactor as Reactor
from .errors import EntropyError as EntropyError
from .errors import LocalError as LocalError
from .errors import Malformed as Malformed
from .errors import PicoswarmError as PicoswarmError
from .errors import StoreError as StoreError
from .failures import RequestError as RequestError
from .failures import StreamError as StreamError
from .node import PORT as PORT
from .node import Node as Node
from .node import Peer as Peer
from .profile import Profile as Profile

__version__: str
handed_out: list[str]
