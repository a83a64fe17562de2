# The status page in a real browser: it follows what happens, an outage shows,
# nothing comes from elsewhere; pictures of it are left in build/screenshots.

use FindBin;
use lib "$FindBin::Bin/lib";
use Esputnik::Test;
use Esputnik::Browser;
use File::Path qw(make_path);

my $redis = redis(args => ['--appendonly', 'yes']);
my $other = redis(args => ['--appendonly', 'yes']);
my $nginx = nginx(
    workers => 2, main => 'thread_pool default threads=2;',
    vars => { REDIS => $redis->address, OTHER => $other->address },
    http => <<'END', server => <<'END');
esputnik_redis main { server %%REDIS%%; }
esputnik_redis "<img src=x onerror=alert(1)>" { server %%OTHER%%; }
END
location /hook { esputnik_pass main; }
location /quarantine { esputnik_pass main; esputnik_invalid quarantine; }
location /spool {
    esputnik_pass "<img src=x onerror=alert(1)>";
    esputnik_spool %%PREFIX%%/spool max_size=1m;
}
location = /status { esputnik_status; }
location = /page { esputnik_status html; }
END

my $shots = root() . '/build/screenshots';
make_path($shots);

is(system($^X, root() . '/tools/status_page.pl', '--check'), 0,
   'the module has the page of html/status.html');

my $browser = Esputnik::Browser->start;
my $site = 'http://127.0.0.1:' . $nginx->port;

sub shows
{
    my ($selector, $pattern, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $code = "new RegExp('$pattern').test(document.querySelector('$selector')?.textContent || '')";
    return ok($browser->until($code), $name)
        || diag('it shows: ' . ($browser->text($selector) // 'nothing'));
}

sub mood
{
    my ($mood, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $code = "document.getElementById('verdict').className.trim() === 'verdict $mood'.trim()";
    return ok($browser->until($code), $name)
        || diag($browser->evaluate("document.getElementById('verdict').className"));
}

# --- from nothing -----------------------------------------------------------------

$browser->open("$site/status");
shows('#verdict-word', 'Ready', 'before the first POST');
shows('#when', 'live', 'it polls');
shows('#targets', '^main.?idle', 'the deployments');
is($browser->evaluate('document.images.length'), 0, 'names are text, not HTML');
shows('#targets', '<img src=x onerror=alert', 'shown as they are');

# --- values follow ------------------------------------------------------------------

my $http = $nginx->http;
sub post { return $http->request(POST => $_[0], body => $_[1])->{status} }

sub events_of
{
    my ($n, $status, $media) = @_;
    return '[' . join(',', map { event($_, qq("mediaType":"$media")) =~ s/DELIVERED/$status/r }
                      1 .. $n) . ']';
}

is(post('/hook', events_of(30, 'DELIVERED', 'email')), 200, 'thirty events')
    && shows('#t-events-2', '^30 stored', 'are shown');
post('/hook', events_of(12, 'CLICKED', 'Viber'));
shows('#t-events-2', '^42 stored', 'and twelve more');
shows('#status', 'delivered30.*clicked12', 'by status');
shows('#media', 'e-mail30.*Viber12', 'by channel');
shows('#t-list', '^42', 'the length of the list');
shows('#targets', '^mainup', 'the target is up');
shows('#verdict-word', 'All is well', 'the verdict');
mood('good', 'green');
shows('#t-ok', 'now|s$', 'the last 200');
my $title = $browser->evaluate('document.title');
like($title, qr/All is well/, 'in the title too');
shows('#times', 'POST(?:[0-9.]+.[^0-9]?s){3}2Redis(?:[0-9.]+.[^0-9]?s){3}2$', 'how long POSTs took, and Redis');
ok($browser->until("document.querySelectorAll('#p-hist path.stroke.c-teal').length >= 1"), 'in the distribution too');
shows('#reasons', '^none$', 'nothing is refused yet');
is($browser->evaluate('Object.keys(reasonNames).sort().join(" ")'),
   join(' ', sort keys %{ decode($nginx->get('/status')->{body})->{refusals} }), 'there are words for each reason');
ok($browser->until("document.querySelectorAll('#p-events path.stroke').length >= 2"), 'plots are drawn');
$browser->hover('#p-events', 0.99, 0.5);
shows('#p-events .tip', '[0-9][0-9]:[0-9][0-9]:[0-9][0-9].*events/s', 'figures under the pointer');

# --- refusals ---------------------------------------------------------------------------

is(post('/hook', '[' . event(1) . ',{"activityStatus":"private words"}]'), 400, 'a bad payload');
shows('#refusals', '400A required field is missing', 'is among the last refusals');
shows('#refusals code', '^activityDateTime', 'with its field');
shows('#reasons', '^a required field is missing1100.0 %$', 'and among all of them');
shows('#verdict-word', 'backing off', 'the sender is owed an answer');
mood('warn', 'amber');
is(post('/quarantine', '[{'), 200, 'a body for the quarantine');
shows('#refusals', 'quarantined', 'is shown as such');
shows('#reasons', '^not JSON150.0 %a required field is missing150.0 %$', 'and among all of them');
unlike($browser->evaluate('document.body.textContent'), qr/private words/, 'no word of the payload');
is(post('/quarantine', '[' . event(1) . ',{"activityStatus":"private words"}]'), 200,
   'the refused one again, where it is taken');
shows('#verdict-word', 'All is well', 'nothing is owed any more');

# --- outages ---------------------------------------------------------------------------

$other->kill9;
is(post('/spool', events_of(5, 'READ', 'sms')), 200, 'one Redis is away: into the spool');
shows('#verdict-word', 'Redis is away, nothing is lost', 'the verdict');
mood('warn', 'amber');
shows('#spools', 'events5POSTs1', 'what the spool holds');

$redis->kill9;
my $body = events_of(3, 'READ', 'sms');
is(post('/hook', $body), 503, 'the one without a spool is away too: 503');
shows('#verdict-word', 'Redis is away$', 'the verdict');
mood('bad', 'red');
shows('#verdict-why', 'answered 503', 'and why');
shows('#reasons', 'a required field is missing250.0 %.*Redis could not take them125.0 %', 'and the reason is counted');
shows('#targets', 'maindown', 'the target is down');
cmp_ok($browser->shot("$shots/status-outage.png"), '>', 20_000, 'a picture of it');

$redis->launch;
$other->launch;
ok(wait_for(sub { post('/hook', $body) == 200 }, slow(5)), 'they are back');
shows('#verdict-word', 'All is well', 'the verdict');
mood('good', 'green');
shows('#spools', 'empty', 'the spool is empty');

# --- nothing from elsewhere, nothing against the policy ------------------------------------------

is(join("\n", $browser->said), '', 'no complaint in the console');
is(join(' ', grep { !/^(?:\Q$site\E\/|data:)/ } $browser->requested), '', 'nothing from elsewhere');
$browser->evaluate(<<'END');
{
    const s = document.createElement('script');
    s.textContent = 'window.intruder = 1';
    document.body.append(s);
}
END
is($browser->evaluate('window.intruder === undefined'), JSON::PP::true(), 'a foreign script does not run');
like(join("\n", $browser->said), qr/Content Security Policy/, 'by the policy');

# --- light, dark, small --------------------------------------------------------------------------

# The weight of a colour, 0 (black) to 255.
sub brightness
{
    my ($what) = @_;
    my $color = $browser->evaluate("getComputedStyle(document.body).$what");
    my @rgb = $color =~ /(\d+), (\d+), (\d+)/ or return -1;
    return (2 * $rgb[0] + 5 * $rgb[1] + $rgb[2]) / 8;
}

for my $case (['light', 'light', 1280, 800], ['dark', 'dark', 1280, 800], ['phone', 'light', 390, 844],
              ['phone-dark', 'dark', 360, 640], ['tablet', 'light', 820, 1180]) {
    my ($name, $scheme, $width, $height) = @$case;
    # the location that has always the page, which polls itself
    $browser->open("$site/page", scheme => $scheme, width => $width, height => $height);
    shows('#t-events-2', 'stored', "$name: drawn");
    shows('#reasons', 'not JSON', "$name: with the reasons");
    my ($paper, $ink) = (brightness('backgroundColor'), brightness('color'));
    ok($scheme eq 'dark' ? $paper < 40 && $ink > 200 : $paper > 220 && $ink < 60, "$name: its colours");
    cmp_ok($browser->evaluate('document.documentElement.scrollWidth'), '<=', $width,
           "$name: no wider than the screen");
    sleep 0.3;
    cmp_ok($browser->shot("$shots/status-$name.png"), '>', 20_000, "$name: a picture");
}

# --- nginx away --------------------------------------------------------------------------------------

$browser->said;
$nginx->stop;
shows('#when', 'no answer', 'nginx is away, and the page says so');
is($browser->stop, 0, 'the browser ends');

finish();
