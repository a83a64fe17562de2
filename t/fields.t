# esputnik_unknown_status and esputnik_require.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;

my $redis = redis();
my $nginx = nginx(vars => { URL => $redis->url }, server => <<'END');
location /default { esputnik_pass %%URL%%; }
location /accept { esputnik_pass %%URL%%; esputnik_unknown_status accept; }
location /reject { esputnik_pass %%URL%%; esputnik_unknown_status reject; }
location /off { esputnik_pass %%URL%%; esputnik_require off; }
location /off_reject { esputnik_pass %%URL%%; esputnik_require off; esputnik_unknown_status reject; }
location /some { esputnik_pass %%URL%%; esputnik_require iid mediaType statusData; }
location /outer {
    esputnik_require email;
    location /outer/inner { esputnik_pass %%URL%%; }
    location /outer/own { esputnik_pass %%URL%%; esputnik_require sms; }
}
END

my $http = $nginx->http;
sub post { my ($uri, @e) = @_; return $http->request(POST => $uri, body => '[' . join(',', @e) . ']') }
sub status { return qq({"contactId":1,"activityStatus":$_[0],"activityDateTime":"x"}) }

# statuses

for my $known (qw(DELIVERED UNDELIVERED READ CLICKED UNSUBSCRIBED SPAM SENT
                  SUBSCRIPTION_CHANGED)) {
    accepted(post($_, status("\"$known\"")), 1, "$known at $_")
        for qw(/default /accept /reject);
}
for my $unknown ('OPENED', 'delivered', '', 'READ ', 'READ\u0000') {
    accepted(post($_, status("\"$unknown\"")), 1, "'$unknown' at $_")
        for qw(/default /accept);
    problem(post('/reject', event(1), status("\"$unknown\"")), 400, 'unknown_status',
            "'$unknown' where unknown ones are refused", event => 1,
            field => 'activityStatus');
}
accepted(post('/reject', status('"RE\u0041D"')), 1, 'a known one, written with an escape');
accepted(post('/off_reject', '{}'), 1, 'no status is not an unknown one');
accepted(post('/off_reject', '{"activityStatus":null}'), 1, 'nor is null');
problem(post('/off_reject', '{"activityStatus":"X"}'), 400, 'unknown_status', 'X is');

# required fields

accepted(post('/off', '{}', '{"a":1}', '{"contactId":null}'), 3, 'none is required');
problem(post('/off', '{"contactId":"x"}'), 400, 'wrong_type', 'types still count');

my %some = (iid => '"x"', mediaType => '"sms"', statusData => '{}');
my $some = sub { my (%o) = (%some, @_);
                 '{' . join(',', map { "\"$_\":$o{$_}" } grep { $o{$_} } sort keys %o) . '}' };
accepted(post('/some', $some->()), 1, 'a list of my own; the default ones are not asked for');
for my $field (sort keys %some) {
    problem(post('/some', $some->(), $some->($field => '')), 400, 'missing_field',
            "$field absent", event => 1, field => $field);
    problem(post('/some', $some->($field => 'null')), 400, 'missing_field',
            "$field null", event => 0, field => $field);
}

accepted(post('/outer/inner', '{"email":"x"}'), 1, 'inherited');
problem(post('/outer/inner', event(1)), 400, 'missing_field', 'asked for', field => 'email');
accepted(post('/outer/own', '{"sms":"1"}'), 1, 'overridden');
problem(post('/outer/own', '{"email":"x"}'), 400, 'missing_field', 'asked for', field => 'sms');

finish();
