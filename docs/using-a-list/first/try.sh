postconf -e smtpd_authorized_xclient_hosts=127.0.0.1
postfix reload
for sender in '<>' 'ann@example.com'; do
    swaks --server 127.0.0.1 --xclient-addr 203.0.113.9 --xclient-name '[UNAVAILABLE]' \
        --from "$sender" --to you@example.org --quit-after RCPT
done
