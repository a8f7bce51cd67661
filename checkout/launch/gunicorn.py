"""How does the web server run? Two processes of 48 threads: a waiting request costs a thread, not a connection.

Times are nested: one gateway call 9 s < a request 20 s < this server 27 s < the proxy 28 s < the merchant 30 s.
"""

from pathlib import Path

wsgi_app = "checkout.wsgi:application"
worker_class = "gthread"
workers = 2
threads = 48
timeout = 27
graceful_timeout = 25
keepalive = 30
limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190
control_socket_disable = True
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a heartbeat must not wait for a disk
