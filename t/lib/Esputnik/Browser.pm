package Esputnik::Browser;

# A headless Chromium (t/browser/drive.js does the driving).

use strict;
use warnings;

use IO::Handle;
use IPC::Open2;
use JSON::PP ();

use Esputnik::Env qw(root slow);

my $json = JSON::PP->new->utf8->allow_nonref;

sub start
{
    my ($class) = @_;
    local $ENV{NODE_PATH} = $ENV{NODE_PATH} || root() . '/build/npm/browser/node_modules';
    local $ENV{BROWSER_SECONDS} = slow(10);
    my $pid = open2(my $from, my $to, 'setpriv', '--pdeathsig', 'TERM', 'node',
                    root() . '/t/browser/drive.js');
    $to->autoflush(1);
    my $self = bless { pid => $pid, from => $from, to => $to }, $class;
    $self->_answer;
    return $self;
}

sub _answer
{
    my ($self) = @_;
    my $line = readline $self->{from};
    die "the browser has ended\n" unless defined $line;
    my $answer = $json->decode($line);
    die "browser: $answer->{error}\n" if exists $answer->{error};
    return $answer->{ok};
}

sub _ask
{
    my ($self, @words) = @_;
    local $SIG{PIPE} = 'IGNORE';
    print { $self->{to} } $json->encode(\@words) . "\n";
    return $self->_answer;
}

# %o: scheme ("light"), width (1280), height (800).
sub open
{
    my ($self, $url, %o) = @_;
    return $self->_ask('open', $url, $o{scheme} || 'light', $o{width} || 1280,
                       $o{height} || 800);
}

# JavaScript in the page; until() waits for it to be true and returns whether
# it became so.
sub evaluate { my ($self, $code) = @_; return $self->_ask('evaluate', $code) }
sub until { my ($self, $code) = @_; return $self->_ask('until', $code) ? 1 : 0 }

sub hover { my ($self, @where) = @_; return $self->_ask('hover', $where[0], $where[1] + 0, $where[2] + 0) }

# A picture of the whole page; its size in bytes.
sub shot { my ($self, $file) = @_; return $self->_ask('shot', $file) }

# What the console had to complain about, and the addresses that were asked
# for, since the last call.
sub said { return @{ $_[0]->_ask('said') } }
sub requested { return @{ $_[0]->_ask('requested') } }

sub text
{
    my ($self, $selector) = @_;
    my $quoted = $json->encode($selector);
    return $self->evaluate("(document.querySelector($quoted) || {}).textContent");
}

sub stop
{
    my ($self) = @_;
    close $self->{to};
    close $self->{from};
    waitpid $self->{pid}, 0;
    return $? >> 8;
}

1;
