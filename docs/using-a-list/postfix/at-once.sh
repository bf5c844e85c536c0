postconf -P smtp/inet/max_use=1 submission/inet/max_use=1
postfix reload
