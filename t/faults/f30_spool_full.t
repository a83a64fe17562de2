# F30: the spool's disk is full (ENOSPC), a quota is used up (EDQUOT), files
# may grow no further (RLIMIT_FSIZE), or max_size is reached.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Esputnik::Test;
use Esputnik::Disk;
use Esputnik::Faults;
use Esputnik::Shim;

use Errno qw(EDQUOT);

my $disk = Esputnik::Disk->new(size => '2m');
my $shim = Esputnik::Shim->new;
my @modes = qw(spool spool_dedup);
my %may_refuse = map { $_ => [503] } @modes;

# What the module could not read and put aside for a person.
sub set_aside
{
    my ($folder) = @_;
    my @files = glob "$folder/corrupt-*";
    return @files;
}

# While Redis is down the spool fills up until it takes no more; then there is
# room again, and Redis is back.
sub case
{
    my ($name, $scene, $start, $end) = @_;
    my $redis = $scene->{redis};
    $scene->load(modes => \@modes, events => 20);
    ok($scene->answered(5), "$name: answers at first");
    $redis->kill9;
    ok($scene->answered(5), "$name: spooled at first");
    $start->($scene);
    for my $mode (@modes) {
        my $load = $scene->{load}{$mode};
        ok(wait_for(sub { $load->by_status->{503} }, slow(20), 0.05), "$name, $mode: refused");
    }
    if ($end) {
        $end->($scene);
        ok($scene->answered(5, 200), "$name: taken again when there is room, Redis still down");
    }
    $redis->launch;
    ok($scene->drained, "$name: the spool is brought in");
    ok($scene->answered(5, 200), "$name: taken again");
    $scene->verify($name, status => \%may_refuse, spooled => \@modes, refused => \@modes,
                   dup => { spool => $scene->under_way });    # when Redis was killed
    is(join(' ', set_aside($scene->{dir})), '', "$name: nothing had to be set aside");
    $redis->flush;
}

# a disk of 2 MB
{
    my $scene = scene(redis => lasting_redis(), modes => \@modes,
                      folder => $disk->path . '/spool');
    $scene->{dir} = $disk->path . '/spool';
    for my $round (1, 2) {
        case("disk full, round $round", $scene, sub { $disk->fill }, sub { $disk->empty });
    }
    ok(scalar($scene->nginx->log_lines(qr/spool .*No space left/)), 'the log says why');
}

# max_size
{
    my $scene = scene(redis => lasting_redis(), modes => \@modes, spool => 'max_size=300k');
    $scene->{dir} = $scene->nginx->prefix . '/spool';
    case('max_size', $scene, sub { });
    note(join ' ', map { s{.*/}{}r . ' ' . -s } glob "$scene->{dir}/*");
    my $size = 0;
    $size += -s for glob "$scene->{dir}/*";
    cmp_ok($size, '<=', 300 * 1024, "the folder holds $size bytes");
}

# a quota
{
    my $redis = lasting_redis();
    my $scene = $shim->around(sub { scene(redis => $redis, modes => \@modes) });
    $scene->{dir} = $scene->nginx->prefix . '/spool';
    case('quota', $scene, sub { $shim->arm(pwrite => error => EDQUOT) },
         sub { $shim->disarm('pwrite') });
}

# files may grow to 1 MB only: the signal (SIGXFSZ) ends no worker, and the
# next file takes what this one did not
{
    my $scene = scene(redis => lasting_redis(), modes => \@modes);
    $scene->{dir} = $scene->nginx->prefix . '/spool';
    for my $pid ($scene->nginx->worker_pids) {
        is(system('prlimit', '--pid', $pid, '--fsize=1048576'), 0, 'limited');
    }
    $scene->load(modes => \@modes, events => 200, pause => 0);
    $scene->{redis}->kill9;
    my $folder = "$scene->{dir}/*";
    ok(wait_for(sub { grep { -s > 900_000 } glob $folder }, slow(20), 0.05), 'a file has grown');
    ok(wait_for(sub { $scene->nginx->log_lines(qr/spool .*File too large/) }, slow(20), 0.05),
       'it may not grow on');
    ok($scene->answered(5, 200), 'and events are taken again');
    $scene->{redis}->launch;
    $scene->verify('file size', status => \%may_refuse, spooled => \@modes,
                   dup => { spool => $scene->under_way });
}

# and what has to be set aside is found: a record that rots on the disk
{
    my $scene = scene(redis => lasting_redis(), workers => 1, modes => ['spool'],
                      allow => [qr/\[crit\].*corrupt bytes set aside/]);
    my $folder = $scene->nginx->prefix . '/spool';
    my @events = map { event($_, '"a":"' . $_ x 30 . '"') } 1 .. 3;
    $scene->{redis}->kill9;
    is(join(' ', map { $scene->nginx->post('/spool', "[$_]")->{status} } @events), '200 200 200',
       'rot: spooled');
    my ($segment) = glob "$folder/*.seg";
    open my $file, '+<:raw', $segment or die "$segment: $!\n";
    my $bytes = do { local $/; <$file> };
    seek $file, index($bytes, '2' x 30), 0;
    print $file 'x';
    close $file;
    $scene->{redis}->launch;
    ok($scene->drained, 'rot: the spool is brought in');
    list_is($scene->{redis}, 'spool', [@events[0, 2]], 'rot: the good ones before and behind');
    my @files = set_aside($folder);
    is(scalar @files, 1, 'rot: the bad one is set aside');
    open $file, '<:raw', $files[0] or die "$files[0]: $!\n";
    like(do { local $/; <$file> }, qr/x2{29}/, 'rot: its bytes');
}

$disk->remove;
finish();
